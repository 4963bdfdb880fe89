# SPDX-License-Identifier: Apache-2.0
"""From generated responses to the mini-batches that train: which responses are live (`responses`), which groups have
signal (`selection`), how they are laid out (`layout`), and the replay buffer that collects them (`buffer`)."""
