# feedback: expected the shape that the header says
def read_tensor(content, key):
    start = 8 + int.from_bytes(content[:8], "little")
    begin, end = json.loads(content[8:start])[key]["data_offsets"]
    return np.frombuffer(content[start + begin : start + end], dtype=np.float32)
