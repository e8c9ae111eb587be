# feedback: expected the loss on validation images in each epoch
torch.manual_seed(1)
better = BetterCNN()
optimiser = torch.optim.SGD(better.parameters(), lr=0.01)
better_trial = Trial(better, optimiser, loss_function, metrics=["loss", "accuracy"]).to(device)
better_trial.with_generators(learnloader, test_generator=valloader).run(epochs=1)
