"""`python -m priors`: the command `priors`."""

from priors.cli.main import main

if __name__ == "__main__":
    main()
