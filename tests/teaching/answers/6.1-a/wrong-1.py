# feedback: expected training accuracy minus validation accuracy
gaps = []


@callbacks.on_epoch_end
def watch(view):
    gap = view.metrics["val_acc"] - view.metrics["acc"]
    gaps.append(gap)
    if gap > 0.3:
        view.stop()
