"""`python -m fiducial`, the same as the command `fiducial`."""

from fiducial.cli import main

if __name__ == "__main__":
    main()
