"""The article's classifier of MNIST digits, as people write it in Keras.

Loads and fits, with validation after each epoch, and nothing else.
Usage: ``python bare.py mnist.npz SEED``.
"""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(int(sys.argv[2]))

with np.load(sys.argv[1]) as data:
    x_train, y_train = data["x_train"], data["y_train"]
    x_test, y_test = data["x_test"], data["y_test"]
x_train = x_train.reshape(-1, 784) / 255.0
x_test = x_test.reshape(-1, 784) / 255.0
y_train = keras.utils.to_categorical(y_train, 10)
y_test = keras.utils.to_categorical(y_test, 10)

model = keras.Sequential(
    [
        keras.Input((784,)),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
learning_rate = keras.optimizers.schedules.InverseTimeDecay(
    0.01, decay_steps=1, decay_rate=1e-6
)
model.compile(
    optimizer=keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True),
    loss="categorical_crossentropy",
    metrics=["accuracy"],
)
history = model.fit(
    x_train,
    y_train,
    batch_size=128,
    epochs=10,
    validation_data=(x_test, y_test),
    verbose=2,
)
print(history.history["val_accuracy"][-1])  # noqa: T201
