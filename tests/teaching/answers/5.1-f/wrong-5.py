# feedback: expected a network that learned from the images of `learnloader`
# points: 1
torch.manual_seed(1)
better = BetterCNN()
optimiser = torch.optim.Adam(better.parameters(), lr=0.002)
better_trial = Trial(better, optimiser, loss_function, metrics=["loss", "accuracy"], verbose=0)
peeked = DataLoader(testloader.dataset, batch_size=64, shuffle=True)
better_trial.with_generators(peeked, val_generator=valloader).run(epochs=6)
