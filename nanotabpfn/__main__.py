"""`python -m nanotabpfn`: the command `nanotabpfn`."""

from nanotabpfn.cli.main import main

if __name__ == "__main__":
    main()
