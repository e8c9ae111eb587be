def read_tensor(content, key):
    import struct

    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length].decode())
    data = content[8 + length :]
    begin, end = header[key]["data_offsets"]
    count = (end - begin) // 4
    numbers = struct.unpack(f"<{count}f", data[begin:end])
    return torch.tensor(numbers).view(header[key]["shape"])
