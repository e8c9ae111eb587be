# feedback: kernel (7, 3), stride 1, padding 0
def output_size(size, kernel, stride=1, padding=0):
    width, height = kernel
    return (
        (size[0] + 2 * padding - height) // stride + 1,
        (size[1] + 2 * padding - width) // stride + 1,
    )
