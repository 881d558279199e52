"""Housekeeping: what is there, what something will take, and how to remove or rebuild it.

dataset_list   `matterzoo datasets`
forecast       `matterzoo plan`
disk           `matterzoo du`
clean          `matterzoo clean`: models, environments, the cache
confirm        asks before more is removed than a command brings back at once
rebuild        `matterzoo rebuild`: the store made again from the runs beside it
exchange       a new store in the place of an old one
doctor         `matterzoo doctor`: what this machine can run models with
diagnosis      findings of the doctor
gpus           GPUs that the machine has
"""
