"""Trains the built-in model: a vocabulary of pieces of words, an LSTM of one layer over them, its weights in whole bytes.

    python3 train.py corpus.txt model.bin --minutes 30

Needs PyTorch (2.15 was used), one thread, no GPU. The same corpus and number of steps give the same model on the same machine.
The file's layout is described in ../src/model/builtin/weights.rs, which reads it.
"""

import argparse
import collections
import math
import random
import re
import struct
import time

import torch
from torch import nn

PIECES = 1024
EMBEDDED = 160
STATE = 400
BATCH = 48
STEPS = 80
WORD = re.compile(r" ?[A-Za-z]+| ?[0-9]| ?[^ A-Za-z0-9\n]| |\n")


def vocabulary(words):
    """Byte-pair encoding: the pieces of the corpus that are joined most often, until there are so many."""
    split = {word: tuple(word) for word in words}
    pieces = sorted({letter for word in words for letter in word})
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for word, parts in split.items():
        for pair in zip(parts, parts[1:]):
            pairs[pair] += words[word]
            where[pair].add(word)
    while len(pieces) < PIECES:
        best = max(pairs.items(), key=lambda entry: (entry[1], entry[0]))[0]
        pieces.append("".join(best))
        for word in list(where.pop(best)):
            parts = split[word]
            for pair in zip(parts, parts[1:]):
                pairs[pair] -= words[word]
            joined, at = [], 0
            while at < len(parts):
                if parts[at : at + 2] == best:
                    joined.append(parts[at] + parts[at + 1])
                    at += 2
                else:
                    joined.append(parts[at])
                    at += 1
            split[word] = tuple(joined)
            for pair in zip(joined, joined[1:]):
                pairs[pair] += words[word]
                where[pair].add(word)
        del pairs[best]
    return pieces


def encoder(pieces):
    """Words as pieces: always the longest that fits."""
    ids = {piece: at for at, piece in enumerate(pieces)}
    longest = max(map(len, pieces))
    known = {}

    def encode(text):
        for word in WORD.findall(text):
            if word not in known:
                found, at = [], 0
                while at < len(word):
                    for end in range(min(len(word), at + longest), at, -1):
                        if word[at:end] in ids:
                            found.append(ids[word[at:end]])
                            at = end
                            break
                known[word] = found
            yield from known[word]

    return encode


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(PIECES, EMBEDDED)
        self.lstm = nn.LSTM(EMBEDDED, STATE, batch_first=True)
        self.narrow = nn.Linear(STATE, EMBEDDED)
        self.bias = nn.Parameter(torch.zeros(PIECES))
        self.drop = nn.Dropout(0.1)
        nn.init.normal_(self.embedding.weight, std=0.1)
        # Remembers, until it learns when to forget.
        with torch.no_grad():
            self.lstm.bias_ih_l0[STATE : 2 * STATE] = 1.0

    def forward(self, ids, state):
        out, state = self.lstm(self.drop(self.embedding(ids)), state)
        return self.narrow(self.drop(out)) @ self.embedding.weight.T + self.bias, state


def rows(text):
    """As many rows as are trained at a time, each going on where it has ended."""
    length = len(text) // BATCH
    return text[: length * BATCH].view(BATCH, length)


def measure(model, text):
    """Nats a piece."""
    model.eval()
    total, count, state = 0.0, 0, None
    text = rows(text)
    with torch.no_grad():
        for at in range(0, text.shape[1] - 1, STEPS):
            end = min(at + STEPS, text.shape[1] - 1)
            logits, state = model(text[:, at:end], state)
            wanted = text[:, at + 1 : end + 1]
            total += nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum").item()
            count += wanted.numel()
    model.train()
    return total / count


def whole_bytes(matrix):
    """Each row in whole numbers of -127 to 127, and what one of them is worth."""
    scale = matrix.abs().amax(dim=1).clamp(min=1e-8) / 127
    return (matrix / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


def save(model, pieces, path):
    with open(path, "wb") as out:
        out.write(b"PWLM" + struct.pack("<IIII", 1, PIECES, EMBEDDED, STATE))
        for piece in pieces:
            text = piece.encode()
            out.write(bytes([len(text)]) + text)
        lstm = model.lstm
        # Two biases in training, one in use.
        bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).detach()
        matrices = [model.embedding.weight, lstm.weight_ih_l0, lstm.weight_hh_l0, model.narrow.weight]
        for matrix in matrices:
            numbers, scale = whole_bytes(matrix.detach())
            out.write(scale.numpy().astype("<f4").tobytes() + numbers.numpy().tobytes())
        for numbers in [bias, model.narrow.bias.detach(), model.bias.detach()]:
            out.write(numbers.numpy().astype("<f4").tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--steps", type=int, help="ends after so many instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    random.seed(1)
    chapters = [chapter.strip() for chapter in open(args.corpus).read().split("\n\n")]
    chapters = [chapter for chapter in chapters if len(chapter) > 500]
    random.shuffle(chapters)
    held = chapters[: len(chapters) // 40]
    kept = chapters[len(chapters) // 40 :]
    words = collections.Counter(word for chapter in kept for word in WORD.findall(chapter))
    pieces = vocabulary(words)
    encode = encoder(pieces)
    ids = lambda chapters: torch.tensor([id for chapter in chapters for id in encode(chapter + "\n")])
    valid, letters = ids(held), sum(len(chapter) + 1 for chapter in held)
    tokens = len(ids(kept))
    model = Model()
    print(f"{tokens} pieces, {sum(p.numel() for p in model.parameters())} parameters, held out {letters} letters", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98), weight_decay=0.02)
    start, step, best, sums = time.time(), 0, math.inf, []
    done = 0.0
    while done < 1:
        # Another order of the chapters each time, so that rows don't always go on in the same way.
        random.shuffle(kept)
        text, state = rows(ids(kept)), None
        for at in range(0, text.shape[1] - 1 - STEPS, STEPS):
            done = step / args.steps if args.steps else (time.time() - start) / 60 / args.minutes
            if done >= 1:
                break
            rate = 4e-3 * min(1, (step + 1) / 200) * (0.02 + 0.98 * (1 + math.cos(math.pi * min(done, 1))) / 2)
            for group in optimizer.param_groups:
                group["lr"] = rate
            logits, state = model(text[:, at : at + STEPS], state)
            state = tuple(part.detach() for part in state)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), text[:, at + 1 : at + STEPS + 1].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            sums.append(loss.item())
            step += 1
            if step % 200 == 0:
                held_loss = measure(model, valid)
                bits = held_loss * len(valid) / letters / math.log(2)
                print(f"{(time.time() - start) / 60:.1f} min, step {step}: {sum(sums) / len(sums):.3f}, held out {held_loss:.3f} nats a piece, {bits:.3f} bits a letter", flush=True)
                sums = []
                save(model, pieces, args.model)
    held_loss = measure(model, valid)
    print(f"step {step}: held out {held_loss:.3f} nats a piece, {held_loss * len(valid) / letters / math.log(2):.3f} bits a letter")
    save(model, pieces, args.model)


if __name__ == "__main__":
    main()
