"""Finding a handwritten digit in a picture and bringing it to MNIST's form."""
