"""What switches a backdoor on: searched for among real words, and proved on texts that the search never saw.

``vocabulary`` (which tokens are words) → ``carriers`` (short clean texts with a free slot) → ``screen`` (every word of
the vocabulary, measured in the slot) → ``standing`` (the best against ``piles`` of opposing texts, in the middle and in
front) → ``groups`` (words that work only together, from ``bags`` of them) → ``measured`` (how many held-back texts a
string turns over, in the suspect and in a control). The control is a model that answers like the suspect on clean texts
and has, as far as that can be arranged, no backdoor: what moves it as well is language, not a trigger.
"""

__all__: list[str] = []
