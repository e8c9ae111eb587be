def output_size(size, kernel, stride=1, padding=0):
    layer = nn.Conv2d(1, 1, kernel, stride=stride, padding=padding)
    return layer(torch.zeros(1, 1, *size)).shape[-2:]
