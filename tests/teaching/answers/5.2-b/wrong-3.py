# feedback: where do the offsets start
def read_tensor(content, key):
    length = int.from_bytes(content[:8], "little")
    about = json.loads(content[8 : 8 + length])[key]
    begin, end = about["data_offsets"]
    # the 8 bytes of the length are forgotten
    numbers = np.frombuffer(content[length + begin : length + end], dtype=np.float32)
    return numbers.reshape(about["shape"])
