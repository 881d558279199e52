"""Runs: one model over one dataset, from what a user asks for to rows in the store.

request          what a user asks for, and how models are to be run
prepare          the dataset on disk, up to date
plan             what is missing in the store
chunks/          how a plan is cut into runs
job_folder       the job of a run: what the worker is given
folder           the folder of a run, and its lock
execute          weights, environment, worker, load
recovery         what to do after a worker was killed
check            whether a finished run is what it says it is
load             a finished run goes into the store, in one transaction
pending          loads that wait until other processes leave the store free
vectors/         the vector files of the store: moved in, converted, uploaded
store/           the store opened for writing, and what goes into which table
import_vectors   vectors of a user become a finished run
imported         the folder of such a run
user_vectors/    a user's file of vectors, read and checked
cost             what a request will take, by earlier runs here or by cards
reporting        progress and errors, for a user
errors           what may go wrong, apart from the worker's failures
"""
