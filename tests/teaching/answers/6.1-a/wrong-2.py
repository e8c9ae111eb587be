# feedback: saw it go on to epoch 40
gaps = []


@callbacks.on_epoch_end
def watch(view):
    gaps.append(view.metrics["acc"] - view.metrics["val_acc"])
    if gaps[-1] > 0.3:
        print("learned by heart")
        return False
