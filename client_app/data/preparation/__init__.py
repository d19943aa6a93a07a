"""From a sample as files hold it to the input of an encoder. Apart from the encoders, so that training need not import it."""
