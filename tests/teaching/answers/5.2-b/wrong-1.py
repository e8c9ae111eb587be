# feedback: where do the offsets start
def read_tensor(content, key):
    length = int.from_bytes(content[:8], "little")
    about = json.loads(content[8 : 8 + length])[key]
    begin, end = about["data_offsets"]
    return np.frombuffer(content[begin:end], dtype=np.float32).reshape(about["shape"])
