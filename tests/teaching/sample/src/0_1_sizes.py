# %% [markdown]
# # 0.1 Sizes
#
# You will learn how a convolution changes the size of an image. You need nothing.

# %%
import numpy as np

side = 28

# %% [markdown]
# ## Exercise 0.1-a
# Complete `output_size`: the width that is left after a convolution.


# %% exercise="0.1-a" points=2 seconds=2
def output_size(size, kernel, padding=0):
    """Width after a convolution with stride 1."""
    ### BEGIN SOLUTION
    return size + 2 * padding - kernel + 1
    ### END SOLUTION


# %% tests="0.1-a" seconds=2
print(output_size(side, 5))  # what do you expect?
### BEGIN HIDDEN TESTS
for size, kernel, padding in [(32, 3, 0), (17, 7, 2)]:
    seen = learner("output_size(size, kernel, padding)", size=size, kernel=kernel, padding=padding)
    expected = size + 2 * padding - kernel + 1
    assert seen == expected, (
        f"for size {size}, kernel {kernel}, padding {padding}: expected {expected}, saw {seen}"
    )
### END HIDDEN TESTS

# %% exercise="0.1-b" points=2 seconds=2
### BEGIN SOLUTION
ramp = np.arange(side, dtype=np.float32) / (side - 1)
print("made a ramp")
### END SOLUTION

# %%
doubled = 2 * ramp

# %% tests="0.1-b" points=0.5 seconds=2
### BEGIN HIDDEN TESTS
seen = learner("ramp").shape
assert seen == (28,), f"expected one value for each column, saw shape {seen}"
### END HIDDEN TESTS

# %% tests="0.1-b" points=1.5 seconds=2
### BEGIN HIDDEN TESTS
import numpy as np

seen = learner("doubled")
assert np.allclose(seen, np.linspace(0, 2, 28)), (
    f"expected values that rise evenly from 0 to 1, saw {seen[0] / 2:g} to {seen[-1] / 2:g}"
)
### END HIDDEN TESTS

# %% grading="skip"
open("ran-what-is-skipped", "w").close()

# %% exercise="0.1-c" points=1 seconds=2
### BEGIN SOLUTION
total = float(ramp.sum())
### END SOLUTION

# %% tests="0.1-c" seconds=2
### BEGIN HIDDEN TESTS
seen = learner("total")
assert abs(seen - 14) < 1e-3, f"expected the sum of all values, saw {seen:g}"
### END HIDDEN TESTS

# %% [markdown] question="0.1-q1" points=1
# **0.1-q1** Why is the output smaller than the input?
#
# <!-- BEGIN SOLUTION -->
# The kernel must lie wholly inside the image.
# <!-- END SOLUTION -->
