"""What executors share that start runs on other machines: chunks, tasks, and what is noted of them.

Modules import only those before them:

node         the name of this node
late         files that other nodes have written and that are seen late
program      how matterzoo is started on a node
submission   the folder of what was submitted
starts       how often a task has started with a chunk, and how that ended
grouping     which chunks a task computes
claims       what jobs that are not over compute and load
staging      what nodes without a network need, made ready before anything is submitted
work_left    what is missing of what is asked for
work         what a task does on a node
loading      put what tasks have computed into the store
"""
