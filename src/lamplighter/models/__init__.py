"""Networks, and the classifier that carries one."""
