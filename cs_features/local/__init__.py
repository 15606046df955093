"""What stands in for AWS on this machine, and the demo. Imported by nothing else.

The stand-ins speak AWS's protocols over loopback HTTP, so that the product needs no local mode.
"""
