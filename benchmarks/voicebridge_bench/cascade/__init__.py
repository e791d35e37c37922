"""`voicebridge bench cascade`: what a cascade of hosted stages adds to its critical path, and others beside it.

The stages' vendors are simulated in a process of their own, behind a network with a round trip of 50 ms. Their stage
times are inputs; what is measured is how close each client comes to what those times allow. All audio of the user is
recorded speech, and all times end at the first audible sample.
"""
