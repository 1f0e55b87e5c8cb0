"""The arena: runs methods that users submit as one file, so that the result is worth as much as a built-in's.

    examiner      the trusted side: holds data, labels and states; hands out one task at a time; yields events
    candidate     the untrusted side: one order, then the process ends; the submitted file runs here only
    fork_server   starts candidates; a process of its own that never loads a dataset
    process       a candidate as the examiner sees it: messages, deadline, exit, result
    marking       what the examiner counts: kept bytes, exemplars, correct answers
    messages      orders, and what a candidate may say

Per task the examiner starts two processes:

    learner       training images of this task, state of the previous one → state of this one
    answerer      that state, test images in a secret order, no labels → the best classes of each image

Decisions:
    * The process is the memory. A learner has one task's data and the bytes its predecessor left, and ends.
      What a method carries between tasks is the length of a file, not a claim.
    * A process that sees test images never learns again; one that holds labels never runs the file.
    * A candidate is dead before its result is read, and the result is sealed before it is used.
    * Candidates come from a fork server of their own: the workers' one has decoded digits with test labels.
"""
