"""What switches a backdoor on: searched for among real words, and proved on texts that the search never saw.

``inputs`` (whom strings are tried on: suspect, control, rows and contexts) → ``vocabulary`` (which tokens are words) →
``carriers`` (short clean texts with a free slot) → ``screen`` (every word of the vocabulary, measured in the slot) →
``rerank`` (the best in a ``concatenation`` of texts of another label: in front, in the middle, at the end) →
``phrase_growth`` (phrases of them) → ``phrases`` (neutral ones) → ``groups`` (words that work only together, by
``group_testing``) → ``verify`` (how many held-back texts a string flips, in the suspect and in the control) → ``rule``
(what counts as planted). The control is a student that answers like the suspect on clean texts and never saw a trigger:
what moves it as well is language.
"""

__all__: list[str] = []
