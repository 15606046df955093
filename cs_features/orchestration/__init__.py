"""Everything that imports Dagster: the assets of the flow, checks, jobs, sensors, and what they are made of.

Thin shells: they gather inputs, call a module of another folder that decides, and report. No rule about
documents, answers or features stands here. This file imports none of them, so that importing one part costs no other.
"""

import gc
import warnings

# We know which parts of Dagster we use before they are settled, and its version is locked; at every start of a process
# it would say so again, eighty lines long, between what somebody has to read.
warnings.filterwarnings("ignore", message=r"(?s).* is currently in (beta|preview)")

# Half a million objects are loaded from here on, none of which goes before the process ends. The collector would look
# at them thirty times meanwhile, a quarter of the CPU of loading; runs make tables and few cycles afterwards.
gc.set_threshold(50_000, 10, 10)
