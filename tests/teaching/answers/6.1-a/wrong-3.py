# feedback: KeyError
gaps = []


@callbacks.on_batch_end
def watch(view):
    gaps.append(view.metrics["acc"] - view.metrics["val_acc"])
    if gaps[-1] > 0.3:
        view.stop()
