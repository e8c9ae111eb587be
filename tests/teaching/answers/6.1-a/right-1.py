gaps = []


class Watch(callbacks.Callback):
    def __init__(self, limit):
        self.limit = limit

    def on_epoch_end(self, view):
        last = view.history[-1]
        gap = last["acc"] - last["val_acc"]
        gaps.append(gap)
        if gap > self.limit:
            view.stop()


watch = Watch(0.3)
