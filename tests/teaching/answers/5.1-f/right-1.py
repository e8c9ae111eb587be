from torch.optim.lr_scheduler import CosineAnnealingLR

torch.manual_seed(12)
better = BetterCNN()
optimiser = torch.optim.AdamW(better.parameters(), lr=0.003, weight_decay=0.01)
slower = callbacks.Scheduler(lambda chosen: CosineAnnealingLR(chosen, 5))
better_trial = Trial(better, optimiser, F.cross_entropy, ["acc", "loss"], [slower], verbose=0)
better_trial.with_train_generator(learnloader).with_val_generator(valloader)
better_trial.run(5)
