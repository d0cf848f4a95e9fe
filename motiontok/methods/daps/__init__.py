"""DAPS, the method this toolkit is for: an encoder that is a policy, trained by weighted maximum likelihood.

``daps-temporal`` is for motion and the default; ``daps`` and ``daps-na`` are the paper's, for
images and comparisons; ``daps-pq`` and ``daps-lopq`` start it from a fitted quantiser, for images.
"""
