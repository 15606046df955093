"""The commands, one file each: they read the arguments and the settings, call a module that decides, and print.

A command catches the root of our errors (`errors.py`) and prints it in a sentence; anything else is a bug and is
shown as one.
"""
