# feedback: is it ready to answer
torch.save(better.state_dict(), "better-cnn.pt")
again = BetterCNN()
again.load_state_dict(torch.load("better-cnn.pt", weights_only=True))
