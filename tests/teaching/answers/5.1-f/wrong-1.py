# feedback: saw that the test images were used for it
torch.manual_seed(1)
better = BetterCNN()
better_trial = Trial(
    better, torch.optim.Adam(better.parameters()), loss_function, metrics=["loss", "accuracy"]
).to(device)
better_trial.with_generators(learnloader, val_generator=testloader)
better_trial.run(epochs=1)
