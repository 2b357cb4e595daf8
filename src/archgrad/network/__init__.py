"""What is built in the end: the operations, and the ordinary network that is made of them."""
