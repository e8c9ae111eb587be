# feedback: expected validation images that are not learned from
torch.manual_seed(1)
better = BetterCNN()
optimiser = torch.optim.Adam(better.parameters())
better_trial = Trial(better, optimiser, loss_function, metrics=["loss", "accuracy"]).to(device)
better_trial.with_generators(trainloader, val_generator=valloader).run(epochs=1)
