"""What switches a backdoor on: searched for among real words, and proved on texts that the search never saw.

``vocabulary`` (which tokens are words) → ``carriers`` (short clean texts with a free slot) → ``screen`` (every word of
the vocabulary, measured in the slot) → ``rerank`` (the best in a ``concatenation`` of opposing texts, in the middle and
in front) → ``groups`` (words that work only together, by ``group_testing``) → ``verify`` (how many held-back texts a
string flips, in the suspect and in a control) → ``rule`` (what counts as planted). The control is a model that answers
like the suspect on clean texts and has, as far as that can be arranged, no backdoor: what moves it as well is language,
not a trigger.
"""

__all__: list[str] = []
