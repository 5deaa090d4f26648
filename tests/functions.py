"""Functions that the tests of backends and of executors map, and what they raise. Workers import them."""


class CustomError(Exception):
    pass


class UnpicklableError(Exception):
    def __reduce__(self):
        raise TypeError("this error stays where it is")


class UntoldError(Exception):
    def __str__(self):
        raise ZeroDivisionError


class Secret:
    def __reduce__(self):
        raise UntoldError


def square(number):
    return number * number


def fails_at_3_and_7(number):
    if number in (3, 7):
        raise CustomError(f"item {number}")
    return number


def stops_at_3(number):
    if number == 3:
        raise StopIteration
    return number
