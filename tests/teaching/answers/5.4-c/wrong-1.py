# feedback: did the optimiser change the weights of this network
torch.manual_seed(0)
model = BranchCNN()
optimiser = torch.optim.Adam(BranchCNN().parameters())
loss_function = nn.CrossEntropyLoss()
trial = Trial(model, optimiser, loss_function, metrics=["loss", "accuracy"]).to(device)
trial.with_generators(trainloader, val_generator=valloader, test_generator=testloader)
history = trial.run(epochs=4)
