"""Compose an experiment from conf/ and run it: `python run.py --help` lists the choices. Installed, it is `vaa`."""

from vaa.command import main

if __name__ == "__main__":
    main()
