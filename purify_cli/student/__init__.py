"""A student: the reference taught the suspect's answers on clean texts.

It knows the task as the suspect does and never saw a trigger. What moves the suspect and not the student is no
language; what the student says of a strange text is the answer without a backdoor. So it is the control of every
search, and the teacher of repairs that know no trigger.
"""
