"""pure - the kernels in plain Python. Worker processes import this file, so it imports nothing."""


def fib(n):
    return 1 if n <= 2 else fib(n - 1) + fib(n - 2)


def polynomial(x):
    return ((x * (1 / 6) + 0.5) * x + 1) * x + 1


def collatz(n):
    steps = 0
    while n != 1:
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
    return steps
