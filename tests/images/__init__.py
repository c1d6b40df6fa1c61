"""The images that the tests run, made from what this machine has installed; nothing is downloaded."""
