# feedback: expected at least 99 % of the 10,000 test images right
# points: 1
torch.manual_seed(1)
better = BetterCNN()
optimiser = torch.optim.Adam(model.parameters())
better_trial = Trial(better, optimiser, loss_function, metrics=["loss", "accuracy"], verbose=0)
better_trial.to(device).with_generators(learnloader, val_generator=valloader)
better_trial.run(epochs=1)
