"""The steps of the flow, one file each, named after their asset. Thin: they gather inputs, call a
module that decides, and report. No rule about documents, answers or features stands here.
"""
