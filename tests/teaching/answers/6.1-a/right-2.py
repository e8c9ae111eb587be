gaps = []


@callbacks.on_epoch_end
def watch(view):
    global gaps
    gaps = gaps + [view.metrics["acc"] - view.metrics["val_acc"]]
    if gaps[-1] > 0.3:
        view.stop()
