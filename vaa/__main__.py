"""`python -m vaa` is the command `vaa`."""

from vaa.command import main

if __name__ == "__main__":
    main()
