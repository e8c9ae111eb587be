# feedback: one gap for each of the 4 epochs of a training that was stopped
gaps = []


@callbacks.on_epoch_end
def watch(view):
    gap = view.metrics["acc"] - view.metrics["val_acc"]
    if gap > 0.3:
        view.stop()
    else:
        gaps.append(gap)
