# feedback: which images did the trial validate on
torch.manual_seed(0)
model = BranchCNN()
optimiser = torch.optim.Adam(model.parameters())
loss_function = nn.CrossEntropyLoss()
trial = Trial(model, optimiser, loss_function, metrics=["loss", "accuracy"]).to(device)
trial.with_generators(trainloader, val_generator=testloader, test_generator=testloader)
history = trial.run(epochs=4)
